"""What the tests stand on: a provider of our own, real servers, services as processes, and the public interface."""
