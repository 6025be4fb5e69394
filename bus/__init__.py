"""Delivery: streams, publishing, consuming, dead letters and configuration on NATS JetStream."""
