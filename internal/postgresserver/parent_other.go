//go:build unix && !linux

package postgresserver

import "syscall"

func endWithParent(*syscall.SysProcAttr) {}
