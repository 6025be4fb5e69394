"""Amazon Bedrock's Converse: what recordings ask and say, by botocore and the service model that it brings."""
