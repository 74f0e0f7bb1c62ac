"""Tests of control_plane.ads."""
