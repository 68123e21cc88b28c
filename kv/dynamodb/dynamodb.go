// Package dynamodb is the store on a table of Amazon DynamoDB. It owns the address, the client and its patience, the form of an
// item, the conditions that make a write atomic, and the feed. It refuses to reach for the network at start, to believe that
// DynamoDB removes what has expired (it takes days), and to answer from a replica that lags: every read is consistent.
//
//	Open → Put (PutItem with a condition) → version → Get → Put(If: version) → … → Delete (PutItem of a tombstone)
//	Publish (a number from UpdateItem, then PutItem) → the poll of every Listen
//
// Read this file first, then write.go and item.go, then feed.go. kv.Guard belongs in front of a Store.
package dynamodb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	awsdynamodb "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/smithy-go"

	"vestibule/kv"
	"vestibule/secret"
)

// ErrTable means that the table does not exist, or does not have the key that docs/operating.md says.
var ErrTable = errors.New("the table does not exist or was not made for this")

// Config configures Open.
type Config struct {
	// URL says which table, and where; its form is described in docs/operating.md. Required. It counts as it was at Open.
	// Credentials are none of its parts: they come from where the AWS SDK looks for them.
	URL secret.Value
	// Logger hears of a clock that is wrong and of a feed that cannot be read, and what the SDK says at level debug; nil
	// means silence.
	Logger *slog.Logger
	// Now is the clock by which entries expire; nil means time.Now. DynamoDB has no clock that a condition could ask, so
	// those of all replicas have to agree.
	Now func() time.Time
}

// Store implements kv.Store and kv.Feed. Versions are the writer's clock in microseconds, or one more than the version before if
// that is larger: they grow past deletion, which leaves the version standing for an hour, and past expiry, which does too. Later
// than that they grow unless a clock was set back by more than an hour.
type Store struct {
	client    *awsdynamodb.Client
	transport *http.Transport
	table     string
	region    string
	timeout   time.Duration
	now       func() time.Time
	log       *slog.Logger
	looked    atomic.Bool // at the difference of the clocks
}

// Open makes a Store. It connects at the first call, so a table that is missing is no error here; an address or an AWS profile
// that is no good is.
func Open(c Config) (*Store, error) {
	if !c.URL.IsSet() {
		return nil, errors.New("Config.URL is missing")
	}
	a, err := parseAddress(string(c.URL.Bytes()))
	if err != nil {
		return nil, err
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	s := &Store{table: a.table, timeout: a.timeout, now: c.Now, log: c.Logger}
	if err := s.connect(a); err != nil {
		return nil, err
	}
	return s, nil
}

// Get implements kv.Store.
func (s *Store) Get(ctx context.Context, key string) (kv.Entry, error) {
	if !isKey(key) {
		return kv.Entry{}, kv.ErrNotFound
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	out, err := s.client.GetItem(ctx, &awsdynamodb.GetItemInput{
		TableName: &s.table, Key: itemKey(entryKey(key)), ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return kv.Entry{}, s.fault("get", err)
	}
	e, err := s.entry(out.Item)
	if err == nil && e.Version == kv.Absent {
		return e, kv.ErrNotFound
	}
	return e, err
}

// GetMany implements kv.Store.
func (s *Store) GetMany(ctx context.Context, keys ...string) ([]kv.Entry, error) {
	if err := kv.CheckKeys(keys); err != nil {
		return nil, err
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	wanted := make([]string, len(keys))
	for i, key := range keys {
		if isKey(key) {
			wanted[i] = entryKey(key)
		}
	}
	items, err := s.batch(ctx, wanted)
	if err != nil {
		return nil, s.fault("get many", err)
	}
	entries := make([]kv.Entry, len(keys))
	for i, name := range wanted {
		if entries[i], err = s.entry(items[name]); err != nil {
			return nil, err
		}
		entries[i].Value = bytes.Clone(entries[i].Value) // a key that comes twice is one item
	}
	return entries, nil
}

// Ping implements kv.Store: it reads, and writes nothing.
func (s *Store) Ping(ctx context.Context) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	out, err := s.client.GetItem(ctx, &awsdynamodb.GetItemInput{
		TableName: &s.table, Key: itemKey(feedKey), ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return s.fault("ping", err)
	}
	if skew, known := awsmiddleware.GetAttemptSkew(out.ResultMetadata); known && s.looked.CompareAndSwap(false, true) {
		s.warnOfClock(skew)
	}
	return nil
}

// Timeout is the time that the URL grants one call; it is for the kv.Guard in front.
func (s *Store) Timeout() time.Duration { return s.timeout }

// Close ends the connections that nobody is using.
func (s *Store) Close() error {
	s.transport.CloseIdleConnections()
	return nil
}

// bounded holds for all attempts of a call together.
func (s *Store) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.timeout)
}

// fault names what was being done, and what AWS's words for a missing table leave out.
func (s *Store) fault(doing string, err error) error {
	var answer smithy.APIError
	if errors.As(err, &answer) {
		switch answer.ErrorCode() {
		case "ResourceNotFoundException":
			return fmt.Errorf("dynamodb: %s: %w: %s in %s: %w", doing, ErrTable, s.table, s.region, err)
		case "ValidationException": // what is sent is well-formed, so it does not fit the table's key
			return fmt.Errorf("dynamodb: %s: %w: %s in %s wants pk, a string, for its only key: %w", doing, ErrTable, s.table, s.region, err)
		}
	}
	return fmt.Errorf("dynamodb: %s: %w", doing, err)
}

// clockLimit is how far clocks may be apart without a word: DynamoDB says its time in whole seconds, and the answer was under way.
const clockLimit = 3 * time.Second

func (s *Store) warnOfClock(skew time.Duration) {
	if skew.Abs() > clockLimit {
		s.log.Warn("the clock of this machine is not that of DynamoDB: entries expire early or late, leases among them", "difference", skew.Round(time.Second))
	}
}
