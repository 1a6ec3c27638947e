"""The chapters of the play, each a module with a `play(scene)`."""
