"""Every query of schema claims: `copies` of what other services announced, `visits` and lines, `settlements`."""
