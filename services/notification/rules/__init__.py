"""What notification decides: who is told what, in which words, when to try again, and where it may be sent. Pure."""
