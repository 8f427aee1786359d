package postgresserver

import "syscall"

// endWithParent lets the kernel end the process when the thread that starts it ends.
func endWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
