"""Tests of control_plane.snapshot."""
