"""The bank (银企直联): payment files out, answers in, as ISO 20022 has them, and the adapter that carries the files."""
