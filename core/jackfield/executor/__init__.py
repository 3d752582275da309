"""Where the workers of an engine run: on a thread of this process, or in a process for each rank."""
