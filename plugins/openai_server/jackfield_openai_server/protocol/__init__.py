"""What goes over HTTP, as msgspec structs: the same classes read requests, write answers and make the OpenAPI document."""
