"""A card whose module takes long to import, and starts a thread."""

import threading
import time

from jackfield.interfaces.policy import SchedulingPolicy

time.sleep(3)
threading.Thread(target=threading.Event().wait, name="poller", daemon=True).start()


class Slow(SchedulingPolicy):
    def admission_key(self, request):
        return (request.arrival,)
