"""The messages of Headrace: frozen Pydantic models, one module a family, every class a version."""
