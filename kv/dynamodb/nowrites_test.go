package dynamodb_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"vestibule/kv"
	"vestibule/kv/dynamodb/dynamodbtest"
	"vestibule/kv/kvtest"
)

// refuseWrites is a table whose throughput for writes is used up, or a role that may not write.
func refuseWrites(code string) func(http.ResponseWriter, string, string) bool {
	return func(w http.ResponseWriter, operation, body string) bool {
		return (operation == "PutItem" || operation == "UpdateItem") && refuse(code)(w, operation, body)
	}
}

func TestATableThatRefusesWritesIsRead(t *testing.T) {
	t.Parallel()
	server := dynamodbtest.Start(t)
	for _, code := range []string{"ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded", "AccessDeniedException"} {
		t.Run(code, func(t *testing.T) {
			f := newFront(t, server)
			kvtest.RunNoWrites(t, func(t *testing.T) (kv.Store, func(), func()) {
				return open(t, f.store(t, server)+patient, nil), func() { f.set(refuseWrites(code)) }, func() { f.set(nil) }
			})
		})
	}
}

// The SDK runs out of what it grants for second attempts, and then says that as well.
func TestWritesThatAreThrottledForLongStayRefusedWrites(t *testing.T) {
	t.Parallel()
	server := dynamodbtest.Start(t)
	f := newFront(t, server)
	s := open(t, f.store(t, server)+patient, nil)
	f.set(refuseWrites("ThrottlingException"))
	for range 120 {
		if _, err := s.Put(t.Context(), kv.Write{Key: "k", TTL: time.Minute}); !errors.Is(err, kv.ErrNoWrites) {
			t.Fatalf("got %v, want ErrNoWrites", err)
		}
	}
}

// A write that found its condition broken reads why. That read is no write.
func TestAReadThatIsThrottledWithinAWriteIsAFault(t *testing.T) {
	t.Parallel()
	server := dynamodbtest.Start(t)
	f := newFront(t, server)
	s := open(t, f.store(t, server)+patient, nil)
	put(t, s, "k", kv.Absent)
	f.set(func(w http.ResponseWriter, operation, body string) bool {
		return operation == "GetItem" && refuse("ThrottlingException")(w, operation, body)
	})
	_, err := s.Put(t.Context(), kv.Write{Key: "k", TTL: time.Minute})
	if err == nil || errors.Is(err, kv.ErrNoWrites) || errors.Is(err, kv.ErrConflict) {
		t.Errorf("got %v, want a fault of reads", err)
	}
}
