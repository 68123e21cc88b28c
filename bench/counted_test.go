package main

import (
	"context"
	"fmt"
	"sync"

	"vestibule/kv"
)

// counted counts calls, and what DynamoDB would charge for them: reads of 4 kB, strongly consistent, and writes of 1 kB.
type counted struct {
	kv.Store
	mu                        sync.Mutex
	gets, keys, puts, deletes int
	reads, writes             int // capacity units
}

// attributes is what an item of kv/dynamodb has beside key and value, in bytes: their names, version, expiry, ttl and mark.
const attributes = 60

func (c *counted) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gets, c.keys, c.puts, c.deletes, c.reads, c.writes = 0, 0, 0, 0, 0, 0
}

func (c *counted) perSession(n int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	per := func(v int) float64 { return float64(v) / float64(n) }
	return fmt.Sprintf("reads %.2f of %.2f keys, writes %.2f, deletions %.2f; DynamoDB: %.2f RCU, %.2f WCU",
		per(c.gets), per(c.keys), per(c.puts), per(c.deletes), per(c.reads), per(c.writes))
}

// bill is calls, RCU and WCU as a table has them; writes are those of others.
func (c *counted) bill(n, writes int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	per := func(v int) int { return (v + n/2) / n }
	return fmt.Sprintf("| %d | %d | %d |", per(c.gets+c.puts+c.deletes)+writes, per(c.reads), per(c.writes)+writes)
}

// unbilled marks a context whose calls are not counted.
type unbilled struct{}

func (c *counted) read(ctx context.Context, entries ...kv.Entry) {
	if ctx.Value(unbilled{}) != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gets++
	c.keys += len(entries)
	for _, e := range entries {
		c.reads += 1 + (len(e.Value)+attributes)/4096
	}
}

func (c *counted) Get(ctx context.Context, key string) (kv.Entry, error) {
	e, err := c.Store.Get(ctx, key)
	c.read(ctx, e)
	return e, err
}

func (c *counted) GetMany(ctx context.Context, keys ...string) ([]kv.Entry, error) {
	all, err := c.Store.GetMany(ctx, keys...)
	c.read(ctx, all...)
	return all, err
}

func (c *counted) Put(ctx context.Context, w kv.Write) (kv.Version, error) {
	c.mu.Lock()
	c.puts++
	c.writes += 1 + (len(w.Key)+len(w.Value)+attributes)/1024
	c.mu.Unlock()
	return c.Store.Put(ctx, w)
}

func (c *counted) Delete(ctx context.Context, key string, expected kv.Version) error {
	c.mu.Lock()
	c.deletes++
	c.writes++
	c.mu.Unlock()
	return c.Store.Delete(ctx, key, expected)
}
