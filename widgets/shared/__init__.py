"""The shared parts of panels: their base, runs and settings, page modules and style sheets. This
package imports no panel."""
