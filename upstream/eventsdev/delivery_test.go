package eventsdev_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
)

// A peer that stops reading must cost nobody but itself.
func TestASlowReaderIsCutAndHoldsUpNobody(t *testing.T) {
	b := start(t)
	slow, quick := b.connect(), b.connect()
	b.subscribed(slow, "slow", "default/a")
	b.subscribed(quick, "quick", "default/a")
	big := publishBody("default/a", full(5, 200_000)...)
	published := 0
	for b.s.Stats().Slow == 0 {
		if published++; published > 100 {
			t.Fatal("100 MB wait for a peer that does not read")
		}
		if status, body := b.post(b.token(nil), big); status != http.StatusOK {
			t.Fatalf("got %d %s", status, body)
		}
		for range 5 {
			if _, err := quick.next(); err != nil {
				t.Fatal(err)
			}
		}
	}
	b.waitConnections(1)
	if got := b.s.Stats(); got.Slow != 1 || got.Subscriptions != 1 {
		t.Errorf("got %+v", got)
	}
	b.wantPost(b.token(nil), http.StatusOK)
	quick.want(`{"type":"data","id":"quick","event":"1"}`)
}

func TestEverySubscriberSeesOneOrder(t *testing.T) {
	b := start(t)
	readers := []*socket{b.connect(), b.connect(), b.connect()}
	for _, c := range readers {
		b.subscribed(c, "s", "default/*")
	}
	const writers, each = 4, 25
	var all sync.WaitGroup
	for w := range writers {
		token := b.token(nil)
		all.Go(func() {
			for i := range each {
				if status, body := b.post(token, publishBody("default/a", fmt.Sprint(w*1000+i))); status != http.StatusOK {
					t.Errorf("got %d %s", status, body)
				}
			}
		})
	}
	all.Wait()
	for range writers * each {
		first, err := readers[0].next()
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range readers[1:] {
			c.want(first)
		}
	}
}
