"""How Sifang is started: an embedded cluster for one machine, and the checks of the repository itself."""
