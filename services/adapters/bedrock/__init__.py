"""The Converse wire protocol of Amazon Bedrock: all its chat models in one shape, streams framed as AWS event streams."""
