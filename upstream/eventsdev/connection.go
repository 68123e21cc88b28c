package eventsdev

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// writeWait is how long one frame may take to leave.
const writeWait = 10 * time.Second

// connection is one socket: a reader that acts on frames in their order, and a writer that empties the outbox and keeps
// the clocks. Either one's end is the other's.
type connection struct {
	s       *Server
	ctx     context.Context // the socket's life, not the request's: the handler has given that away
	cancel  context.CancelFunc
	done    chan struct{} // closed when nothing of it is left
	out     *outbox
	refused *refusal    // what connection_init will be told; nil for a welcome
	ready   atomic.Bool // connection_init was accepted
	slow    atomic.Bool // cut because the peer did not read
	// subscriptions and publishes are the reader's alone.
	subscriptions map[string]*subscription // operation id → subscription
	publishes     bucket
}

func (s *Server) newConnection(refused *refusal) *connection {
	ctx, cancel := context.WithCancel(context.Background())
	return &connection{
		s: s, ctx: ctx, cancel: cancel, done: make(chan struct{}), out: newOutbox(), refused: refused,
		subscriptions: map[string]*subscription{}, publishes: bucket{now: s.cfg.Now},
	}
}

// run serves the socket until it ends.
func (c *connection) run(ws *websocket.Conn) {
	c.s.stats.add(func(t *Stats) { t.Connections++; t.Connected++ })
	defer c.s.stats.add(func(t *Stats) { t.Connections-- })
	written := make(chan struct{})
	go func() {
		defer close(written)
		defer c.cancel()
		c.write(ws)
	}()
	c.read(ws)
	c.cancel()
	c.s.hub.leave(c.subscriptions)
	<-written
	_ = ws.CloseNow() // already closed, unless it was cut
}

func (c *connection) read(ws *websocket.Conn) {
	for {
		kind, data, err := ws.Read(c.ctx)
		switch {
		case err != nil:
			return
		case kind != websocket.MessageText:
			c.finish(int(websocket.StatusUnsupportedData), "text frames only")
		case !c.out.finished(): // what comes after a farewell changes nothing
			c.handle(data)
		}
	}
}

// write sends what waits, a ka in every interval, and ends the socket when its time is over.
func (c *connection) write(ws *websocket.Conn) {
	keepAlive := time.NewTicker(c.s.cfg.KeepAlive)
	defer keepAlive.Stop()
	life := time.NewTimer(c.s.cfg.ConnectionLife)
	defer life.Stop()
	greeting := time.NewTimer(c.s.cfg.InitTimeout)
	defer greeting.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-keepAlive.C:
			if c.ready.Load() {
				c.send(reply{Type: "ka"})
			}
		case <-greeting.C:
			c.giveUpWaiting()
		case <-life.C:
			c.s.stats.add(func(t *Stats) { t.Expired++ })
			c.finish(int(websocket.StatusGoingAway), "the connection reached its longest life")
		case <-c.out.wake:
			if !c.flush(ws) {
				return
			}
		}
	}
}

// flush reports whether the socket goes on.
func (c *connection) flush(ws *websocket.Conn) bool {
	frames, end := c.out.take()
	for _, frame := range frames {
		if !c.writeFrame(ws, frame) {
			return false
		}
	}
	if end == nil {
		return true
	}
	_ = ws.Close(websocket.StatusCode(end.code), end.text) // bounded by the library: 5 s to write, 5 s for the answer
	return false
}

func (c *connection) writeFrame(ws *websocket.Conn, frame []byte) bool {
	ctx, cancel := context.WithTimeout(c.ctx, writeWait)
	defer cancel()
	if err := ws.Write(ctx, websocket.MessageText, frame); err != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			c.cutSlow()
		}
		return false
	}
	return true
}

func (c *connection) giveUpWaiting() {
	if c.ready.Load() || c.out.finished() {
		return
	}
	c.s.note(badRequest(ReasonNoInit, ""))
	c.finish(int(websocket.StatusPolicyViolation), "no connection_init")
}

// send queues a frame and reports whether it will go out. A peer that lets its outbox fill up is cut.
func (c *connection) send(r reply) bool { return c.sendEncoded(r.encode()) }

func (c *connection) sendEncoded(frame []byte) bool {
	sent, room := c.out.push(frame)
	if !room {
		c.cutSlow()
	}
	return sent
}

func (c *connection) cutSlow() {
	if c.slow.CompareAndSwap(false, true) {
		c.s.stats.add(func(t *Stats) { t.Slow++ })
		c.s.cfg.Logger.Info("cut a socket whose peer does not read")
	}
	c.cancel()
}

// finish says farewell after what is waiting.
func (c *connection) finish(code int, text string) { c.out.finish(closing{code, text}) }
