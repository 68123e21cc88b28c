package main

import (
	"net"
	"sync"
)

// severable is a listener whose connections can be cut all at once.
type severable struct {
	net.Listener
	mu      sync.Mutex
	open    map[net.Conn]struct{}
	severed bool
}

// Accept implements net.Listener.
func (s *severable) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.severed {
		_ = c.Close()
		return nil, net.ErrClosed
	}
	known := &severableConn{Conn: c, of: s}
	s.open[known] = struct{}{}
	return known, nil
}

func (s *severable) sever() {
	s.mu.Lock()
	s.severed = true
	all := s.open
	s.open = map[net.Conn]struct{}{}
	s.mu.Unlock()
	_ = s.Listener.Close()
	for c := range all {
		_ = c.Close()
	}
}

// severableConn forgets itself when it is closed.
type severableConn struct {
	net.Conn
	of *severable
}

// Close implements net.Conn.
func (c *severableConn) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}
