"""The bodies of HTTP requests and answers as msgspec structs, which also make the OpenAPI document."""
