"""Leaves a process behind and ends its own."""

import os
import time

if os.fork() == 0:
    time.sleep(30)
os._exit(4)
