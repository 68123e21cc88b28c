package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"vestibule/secret"
	"vestibule/views"
)

// One burst.
const (
	burstSize    = 1000
	burstAtOnce  = 50
	burstTimeout = 20 * time.Second // for all of it: shorter than what a request may take to be answered
	burstsKept   = 5
	mostAnswer   = 64 << 10 // bytes of one answer
)

// busyService plays all instances of one service: many callers of POST /oauth2/token over HTTP, with one key. A page could not play them:
// its script would have to hold the key.
type busyService struct {
	url     string
	id, key string
	asked   func() int64 // client_credentials calls that the provider has counted
	client  *http.Client
	turn    chan struct{} // one burst at a time, or the counts would be of both

	mu   sync.Mutex
	sent int               // bursts so far
	kept []views.DemoBurst // newest first
}

// newBusyService makes one with a new key; nothing is sent. address is host:port of the demo's own listener.
func newBusyService(address string, asked func() int64) *busyService {
	return &busyService{
		url: "http://" + address + "/oauth2/token", id: "demo-service", key: secret.GenerateKey(), asked: asked,
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: burstAtOnce, MaxConnsPerHost: burstAtOnce}},
		turn:   make(chan struct{}, 1),
	}
}

// burst sends burstSize requests, burstAtOnce at a time, and keeps what came of them. It fails if ctx ends before that.
func (s *busyService) burst(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.turn }()
	limited, cancel := context.WithTimeout(ctx, burstTimeout)
	defer cancel()
	before := s.asked()
	answers := s.sendAll(limited)
	if err := ctx.Err(); err != nil {
		return err // who pressed is gone: half a burst proves nothing
	}
	s.keep(summary(answers, int(s.asked()-before)))
	return nil
}

// bursts are those that were kept, newest first.
func (s *busyService) bursts() []views.DemoBurst {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.kept)
}

func (s *busyService) keep(b views.DemoBurst) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent++
	b.Number = s.sent
	s.kept = slices.Insert(s.kept, 0, b)
	s.kept = s.kept[:min(len(s.kept), burstsKept)]
}

// fate is how one request was answered.
type fate int

const (
	fateHit fate = iota
	fateAsked
	fateWaited
	fateFailed
)

// answer is what one request got.
type answer struct {
	fate      fate
	took      time.Duration
	token     string
	expiresIn time.Duration
}

// sendAll gives the answers in the order in which their requests were sent.
func (s *busyService) sendAll(ctx context.Context) []answer {
	defer s.client.CloseIdleConnections()
	answers := make([]answer, burstSize)
	var next atomic.Int64
	var all sync.WaitGroup
	for range burstAtOnce {
		all.Go(func() {
			for i := next.Add(1) - 1; i < burstSize; i = next.Add(1) - 1 {
				answers[i] = s.send(ctx)
			}
		})
	}
	all.Wait()
	return answers
}

// send is what a client does that has never heard of Vestibule (RFC 6749, section 4.4.2).
func (s *busyService) send(ctx context.Context) answer {
	failed := answer{fate: fateFailed}
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {demoScope}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, strings.NewReader(form.Encode()))
	if err != nil {
		return failed
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(s.id), url.QueryEscape(s.key))
	start := time.Now()
	res, err := s.client.Do(req)
	if err != nil {
		return failed
	}
	defer func() { _ = res.Body.Close() }() // it was read
	body, err := io.ReadAll(io.LimitReader(res.Body, mostAnswer))
	took := time.Since(start)
	var said struct {
		Token     string `json:"access_token"`
		ExpiresIn int    `json:"expires_in"`
	}
	if err != nil || res.StatusCode != http.StatusOK || json.Unmarshal(body, &said) != nil || said.Token == "" {
		return failed
	}
	return answer{fateOf(res.Header.Get("Cache-Status")), took, said.Token, time.Duration(said.ExpiresIn) * time.Second}
}

// fateOf reads what the cache says that it did, in the words of RFC 9211.
func fateOf(cacheStatus string) fate {
	switch {
	case strings.Contains(cacheStatus, "fwd=miss; collapsed"):
		return fateWaited
	case strings.Contains(cacheStatus, "fwd=miss"):
		return fateAsked
	}
	return fateHit
}

// summary tells a burst. Those who got nothing have no time: a refusal is quick, and would make the others look good.
func summary(answers []answer, calls int) views.DemoBurst {
	count := map[fate]int{}
	tokens := map[string]bool{}
	var got []answer
	var times []time.Duration
	for _, a := range answers {
		count[a.fate]++
		if a.fate != fateFailed {
			tokens[a.token] = true
			got, times = append(got, a), append(times, a.took)
		}
	}
	b := views.DemoBurst{
		Asked: count[fateAsked], Waited: count[fateWaited], Hit: count[fateHit], Failed: count[fateFailed],
		Calls: calls, Tokens: len(tokens),
	}
	if len(got) > 0 {
		last := got[len(got)-1]
		slices.Sort(times)
		b.First, b.Median, b.Last, b.ExpiresIn = got[0].took, times[len(times)/2], last.took, last.expiresIn
	}
	return b
}
