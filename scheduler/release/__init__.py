"""The countdown inside one process: parties arm, meet at one Barrier, and are let go at T. Standard library only."""
