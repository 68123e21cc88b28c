package redis_test

import (
	"io"
	"net"
	"sync/atomic"
	"testing"
)

// lossy stands before a server and can lose an answer: the request arrives, and the connection breaks.
type lossy struct {
	addr     string
	loseNext atomic.Bool
	lost     atomic.Int64
}

func loseAnswers(t *testing.T, server string) *lossy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	p := &lossy{addr: l.Addr().String()}
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", server)
			if err != nil {
				_ = in.Close()
				return
			}
			go func() { _, _ = io.Copy(out, in); _ = out.Close() }()
			go p.answer(in, out)
		}
	}()
	return p
}

func (p *lossy) answer(in, out net.Conn) {
	defer in.Close()
	defer out.Close()
	buffer := make([]byte, 4096)
	for {
		n, err := out.Read(buffer)
		if err != nil {
			return
		}
		if p.loseNext.CompareAndSwap(true, false) {
			p.lost.Add(1)
			return
		}
		if _, err := in.Write(buffer[:n]); err != nil {
			return
		}
	}
}
