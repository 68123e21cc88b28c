package redis_test

import (
	"net"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// blackHole is an address where nobody answers to a connection: not with a refusal either. free makes it free for others.
// (A listener whose queue is full drops what comes, as a firewall does.)
func blackHole(t *testing.T) (addr string, free func()) {
	t.Helper()
	syscall.ForkLock.RLock() // a server that another test starts now must not inherit it
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	var waiting []net.Conn
	free = sync.OnceFunc(func() {
		for _, c := range waiting {
			_ = c.Close()
		}
		_ = syscall.Shutdown(fd, syscall.SHUT_RDWR) // closing alone leaves it to a process that is being forked at this moment
		_ = syscall.Close(fd)
	})
	t.Cleanup(free)
	_ = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(name.(*syscall.SockaddrInet4).Port))
	for range 20 {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			return addr, free
		}
		waiting = append(waiting, c)
	}
	t.Fatalf("%s takes %d connections that nobody accepts: this proves nothing", addr, len(waiting))
	return "", nil
}
