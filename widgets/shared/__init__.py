"""What several panels share: their base, runs and settings, page modules and style sheets. It
imports no panel."""
