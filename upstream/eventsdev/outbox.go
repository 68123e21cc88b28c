package eventsdev

import "sync"

const (
	// maxWaiting bounds the frames that wait for one socket.
	maxWaiting = 1024
	// maxWaitingBytes bounds their size: three full publishes.
	maxWaitingBytes = 4 << 20
)

// outbox holds the frames that wait for one socket. Putting one in never blocks: a peer that does not read must not hold
// up those who do.
type outbox struct {
	mu      sync.Mutex
	frames  [][]byte
	bytes   int
	closing *closing      // nil while open
	wake    chan struct{} // holds a signal when there is something to take
}

// closing is how a socket ends once its outbox is empty.
type closing struct {
	code int
	text string // at most 123 bytes (RFC 6455, section 5.5)
}

func newOutbox() *outbox { return &outbox{wake: make(chan struct{}, 1)} }

// push reports whether there was room. After finish it drops the frame and reports true: the socket is not slow but going.
func (o *outbox) push(frame []byte) (sent, room bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closing != nil {
		return false, true
	}
	if len(o.frames) >= maxWaiting || o.bytes+len(frame) > maxWaitingBytes {
		return false, false
	}
	o.frames = append(o.frames, frame)
	o.bytes += len(frame)
	o.signal()
	return true, true
}

// finish ends the socket after what is waiting. The first one counts.
func (o *outbox) finish(c closing) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closing == nil {
		o.closing = &c
	}
	o.signal()
}

// take empties the outbox.
func (o *outbox) take() ([][]byte, *closing) {
	o.mu.Lock()
	defer o.mu.Unlock()
	frames := o.frames
	o.frames, o.bytes = nil, 0
	return frames, o.closing
}

func (o *outbox) finished() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.closing != nil
}

func (o *outbox) signal() {
	select {
	case o.wake <- struct{}{}:
	default: // a signal waits already
	}
}
