"""Bodies of enrollment's requests and answers; known only to the API."""
