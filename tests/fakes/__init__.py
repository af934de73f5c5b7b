"""Fakes of the ports that can misbehave: for every suite that needs a world without AWS."""
