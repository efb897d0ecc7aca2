"""The layers that backbones are composed of. May import what `workbench.backbones` may."""
