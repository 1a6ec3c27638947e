"""What claims can do: `admitting` visits and their lines, `settling` them, `reversing` settlements."""
