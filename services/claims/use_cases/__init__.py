"""What claims can do: `admitting` visits and their lines, `settling` `bills` and `reversing` them, `explaining` what
they came to and `rechecking` what came after them, keeping and `trying` the `policies`.
"""
