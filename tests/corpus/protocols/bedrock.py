"""Amazon Bedrock's Converse and ConverseStream, by botocore's service model."""

from tests.corpus.converse import asked, rebuild, said
from tests.corpus.recording import Case, Expected, ExpectedFailure, NotApplicable, Recording

differences = asked.differences
accepted = asked.accepted
extra = said.extra
ENVIRON = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
"""The credentials of AWS's published examples."""


def claims(recording: Recording) -> bool:
    return rebuild.PATH.match(recording.route) is not None


def case(recording: Recording) -> Case | NotApplicable:
    return rebuild.case(recording)


def expected(recording: Recording) -> Expected | ExpectedFailure | NotApplicable:
    return said.expected(recording)
