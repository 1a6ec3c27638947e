"""Bodies of settlement's requests and answers; known only to `api`."""
