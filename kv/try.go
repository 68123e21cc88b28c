package kv

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"
)

const (
	tryLife = time.Minute     // of what a trial leaves if it is broken off
	tryWait = 3 * time.Second // for a feed to begin, and to be heard
)

// Try does once all that replicas do with a store: it reads many keys, which lie in all parts of a store that has parts, writes one that is
// nobody else's on condition that it is unknown, writes over it, is refused where it should be, and removes it. Ping does not notice a store
// that only reads: here its error is ErrNoWrites.
func Try(ctx context.Context, s Store) error {
	name := "check/" + rand.Text()
	keys := make([]string, MaxKeys)
	for i := range keys {
		keys[i] = fmt.Sprint(name, "/", i)
	}
	if _, err := s.GetMany(ctx, keys...); err != nil {
		return err
	}
	first, err := s.Put(ctx, Write{Key: name, Value: []byte("1"), TTL: tryLife})
	if err != nil {
		return err
	}
	second, err := s.Put(ctx, Write{Key: name, Value: []byte("2"), TTL: tryLife, If: first})
	if err != nil {
		return err
	}
	if err := s.Delete(ctx, name, first); !errors.Is(err, ErrConflict) {
		return tried("a version that is over could be removed", err)
	}
	if e, err := s.Get(ctx, name); err != nil || e.Version != second || string(e.Value) != "2" {
		return tried("what was written is not what is read", err)
	}
	return s.Delete(ctx, name, second)
}

// tried is the store's own fault where it has one.
func tried(wrong string, fault error) error {
	if fault != nil && !errors.Is(fault, ErrNotFound) {
		return fault
	}
	return errors.New("kv: the store does not keep its word: " + wrong)
}

// errUnheard is also what is said of a feed that cannot be listened to: Listen goes on trying, and gives no error.
var errUnheard = errors.New("kv: what is published is not heard")

// TryFeed publishes one message, which is none of those that replicas send each other, and listens for it. It takes some seconds where
// nothing is heard.
func TryFeed(ctx context.Context, f Feed) error {
	message := "check/" + rand.Text()
	ctx, cancel := context.WithCancel(ctx)
	begun, heard, over := make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{})
	defer func() { cancel(); <-over }()
	go func() {
		defer close(over)
		f.Listen(ctx, Listener{
			Hear: func(m []byte) {
				if string(m) == message {
					tell(heard)
				}
			},
			Missed: func() { tell(begun) },
		})
	}()
	listens := await(ctx, begun)
	if err := f.Publish(ctx, []byte(message)); err != nil {
		return err
	}
	if !listens || !await(ctx, heard) {
		return errUnheard
	}
	return nil
}

func tell(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// await says whether it came in time.
func await(ctx context.Context, c <-chan struct{}) bool {
	late := time.NewTimer(tryWait)
	defer late.Stop()
	select {
	case <-c:
		return true
	case <-late.C:
	case <-ctx.Done():
	}
	return false
}
