// The GIL released for a scope, in either module.
#pragma once

#include <Python.h>
#include <unistd.h>

namespace asam {

class GilRelease {
 public:
  GilRelease() : state_(PyEval_SaveThread()) {}
  ~GilRelease() {
    // When the interpreter ends, Python before 3.14 makes a daemon thread that asks for the GIL leave by
    // pthread_exit, whose unwinding ends the process at the first destructor. It stays here instead, as from
    // 3.14 on.
    try {
      PyEval_RestoreThread(state_);
    } catch (...) {
      while (true) pause();
    }
  }
  GilRelease(const GilRelease&) = delete;
  GilRelease& operator=(const GilRelease&) = delete;

 private:
  PyThreadState* state_;
};

}  // namespace asam
