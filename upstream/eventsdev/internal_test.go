package eventsdev

import "testing"

// A thousand handshakes would take seconds, so the bound is reached underneath.
func TestOpenSocketsAreBounded(t *testing.T) {
	s := newServer(Config{Issuer: "https://idp.example"}.withDefaults(), "127.0.0.1:1")
	var first *connection
	for i := range maxConnections {
		c := s.newConnection(nil)
		if !s.sockets.add(c) {
			t.Fatalf("the %d. was refused", i+1)
		}
		if first == nil {
			first = c
		}
	}
	if c := s.newConnection(nil); s.sockets.add(c) || c.ctx.Err() == nil {
		t.Error("one too many was let in")
	}
	s.sockets.remove(first)
	if !s.sockets.add(s.newConnection(nil)) {
		t.Error("there was room")
	}
}

func TestAnOutboxIsBoundedInFramesAndBytes(t *testing.T) {
	small, large := newOutbox(), newOutbox()
	for i := range maxWaiting {
		if sent, room := small.push(nil); !sent || !room {
			t.Fatalf("frame %d was refused", i+1)
		}
	}
	if _, room := small.push(nil); room {
		t.Error("one frame too many")
	}
	if _, room := large.push(make([]byte, maxWaitingBytes)); !room {
		t.Error("there was room")
	}
	if _, room := large.push(make([]byte, 1)); room {
		t.Error("one byte too many")
	}
	large.take()
	if _, room := large.push(make([]byte, 1)); !room {
		t.Error("an emptied outbox is full")
	}
	large.finish(closing{code: 1000})
	if sent, room := large.push(nil); sent || !room {
		t.Error("something follows the farewell")
	}
}
