"""The rules of CloudEvents for headers, written out from the specification."""

import re
from datetime import datetime


def broken_rules(headers: dict[str, str]) -> list[str]:
    """The rules of CloudEvents 1.0.2 and of its NATS binding that headers break, each said in a few words."""
    attributes = {name[3:]: value for name, value in headers.items() if name.startswith("ce-")}
    rules = {
        "specversion is 1.0": attributes.get("specversion") == "1.0",
        "id, source and type are there and not empty": all(attributes.get(name) for name in ("id", "source", "type")),
        "source is a URI reference": bool(re.fullmatch(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+", attributes.get("source", ""))),
        "time is RFC 3339": datetime.fromisoformat(attributes["time"]).tzinfo is not None and "T" in attributes["time"],
        "subject is not empty": attributes.get("subject") != "",
        "the media type of the data is said, and the same everywhere": attributes.get("datacontenttype") == headers.get("Content-Type") == "application/json",
        "names are lower-case letters and digits, at most 20": all(re.fullmatch(r"[a-z0-9]{1,20}", name) for name in attributes),
        "data is no attribute": not attributes.keys() & {"data", "data_base64"},
        "values are printable ASCII, percent-encoded": all(re.fullmatch(r"([!#$&-~]|%[0-9A-F]{2})+", value) for value in attributes.values()),
    }
    return [rule for rule, held in rules.items() if not held]
