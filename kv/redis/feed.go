package redis

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"vestibule/kv"
)

//go:embed publish.lua
var publishScript string

const (
	// beat is how often a listener sends a message to itself, the way that others' messages come. What it does not hear tells
	// of more than a dead connection: of a server that was replaced without knowing it, or of a part of a Cluster that is cut off.
	beat = time.Second
	// silence is how long a listener waits for its own message before it starts anew; one call's time comes on top.
	silence = 3 * time.Second
	// steady is how long listening has to last for the next pause to be a short one again.
	steady = 5 * time.Second
	// Pauses between attempts grow from the first to the last; each is cut by up to a half, so that replicas do not come all at once.
	firstPause = 50 * time.Millisecond
	lastPause  = time.Second
)

var errSilent = errors.New("redis: listen: what is published is not heard")

// feed is the name of the channel. A server does not keep apart the channels of its databases.
func feed(a address) string { return a.prefix + "feed/" + strconv.Itoa(a.db) }

// Publish implements kv.Feed. The driver sends a command again when its connection broke, so a message may be heard twice.
func (s *Store) Publish(ctx context.Context, message []byte) error {
	if err := kv.CheckMessage(message); err != nil {
		return err
	}
	return s.publishIn(ctx, s.feed, message)
}

func (s *Store) publishIn(ctx context.Context, channel string, message []byte) error {
	bounded, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	err := s.publish.Run(bounded, s.client, []string{s.feed}, channel, message).Err()
	if err == nil {
		return nil
	}
	err = s.fault(ctx, "publish", err)
	if ctx.Err() == nil && bounded.Err() != nil { // not the caller's deadline: nobody may take it for that
		return fmt.Errorf("%w within %s: %v", kv.ErrUnavailable, s.timeout, err)
	}
	return err
}

// Listen implements kv.Feed. It reads from a connection of its own and calls l between two reads, without a buffer that could
// overflow unnoticed: what comes meanwhile waits in the connection, and a server that has no more room for it cuts that.
func (s *Store) Listen(ctx context.Context, l kv.Listener) {
	first, hears := true, false
	heard := func() {
		if !first {
			s.log.Info("what other replicas publish is heard again")
		}
		hears = true
		l.Missed()
	}
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		begun := time.Now()
		err := s.listen(ctx, heard, l.Hear)
		if ctx.Err() != nil {
			return
		}
		if first || hears {
			s.log.Warn("what other replicas publish is not heard for now", "error", err)
		}
		first, hears = false, false
		s.lookAround(ctx)
		if time.Since(begun) > steady {
			pause = firstPause
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause - rand.N(pause/2)):
		}
	}
}

// listen hears messages until something breaks or ctx ends; begun is called when it can.
func (s *Store) listen(ctx context.Context, begun func(), hear func([]byte)) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	subscription := s.client.Subscribe(ctx)
	context.AfterFunc(ctx, func() { _ = subscription.Close() }) // a read does not heed ctx
	own, beats := s.feed+"/"+strconv.FormatUint(rand.Uint64(), 36), make(chan error, 1)
	go func() { beats <- s.beat(ctx, own) }()
	defer func() {
		cancel()
		_ = subscription.Close()
		if cause := <-beats; cause != nil && err == errSilent {
			err = fmt.Errorf("%w: %w", err, cause)
		}
	}()
	// The feed first: a Cluster's listeners all go to the node where the first one's name belongs, see publish.lua.
	if err := subscription.Subscribe(ctx, s.feed, own); err != nil {
		return s.fault(ctx, "listen", err)
	}
	limit := silence + s.timeout
	for waited := time.Duration(0); waited < limit; { // for its own message; the time that hear takes does not count
		asked := time.Now()
		received, err := subscription.ReceiveTimeout(ctx, limit-waited)
		waited += time.Since(asked)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && waited < limit:
			return s.fault(ctx, "listen", err)
		}
		switch m := received.(type) {
		case *goredis.Subscription:
			if m.Channel == s.feed {
				begun()
			}
		case *goredis.Message:
			if m.Channel == own {
				waited = 0
			} else if message := []byte(m.Payload); kv.CheckMessage(message) == nil { // else nobody of ours sent it
				hear(message)
			}
		}
	}
	return errSilent
}

// beat sends messages to its own listener until ctx ends, and gives the last failure: a message that cannot be sent is not heard.
func (s *Store) beat(ctx context.Context, channel string) (failure error) {
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return failure
		case <-tick.C:
			if err := s.publishIn(ctx, channel, nil); ctx.Err() == nil {
				failure = err
			}
		}
	}
}
