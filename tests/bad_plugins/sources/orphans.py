"""Its worker leaves a child behind that holds its pipe open, and dies in the first step."""

import os
import time

from jackfield_testing.platform import ReferencePlatform
from jackfield_testing.worker import ReferenceWorker


class Worker(ReferenceWorker):
    """Dies."""

    def submit(self, plan):
        """Die."""
        os._exit(5)


class Bad(ReferencePlatform):
    """Makes that worker."""

    def create_worker(self, context):
        """Fork, as a library may."""
        if os.fork() == 0:
            time.sleep(20)
            os._exit(0)
        return Worker(context)
