package redis_test

import (
	"testing"
	"time"

	"vestibule/kv"
	"vestibule/kv/redis/redistest"
)

// A refresh result is about 2 kB.
func BenchmarkGet(b *testing.B) {
	s := open(b, redistest.Start(b, redistest.Config{}).URL()+"?"+patient)
	w := kv.Write{Key: "k", Value: make([]byte, 2048), TTL: time.Hour, If: kv.Any}
	if _, err := s.Put(b.Context(), w); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Get(b.Context(), "k"); err != nil {
			b.Fatal(err)
		}
	}
}

// One of the three is there, as a rule.
func BenchmarkGetManyOfThree(b *testing.B) {
	s := open(b, redistest.Start(b, redistest.Config{}).URL()+"?"+patient)
	if _, err := s.Put(b.Context(), kv.Write{Key: "k", Value: make([]byte, 2048), TTL: time.Hour}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.GetMany(b.Context(), "k", "nobody", "nothing"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPublish(b *testing.B) {
	s := open(b, redistest.Start(b, redistest.Config{}).URL()+"?"+patient)
	message := make([]byte, 100)
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Publish(b.Context(), message); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPut(b *testing.B) {
	s := open(b, redistest.Start(b, redistest.Config{}).URL()+"?"+patient)
	w := kv.Write{Key: "k", Value: make([]byte, 2048), TTL: time.Hour, If: kv.Any}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Put(b.Context(), w); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGetInParallel(b *testing.B) {
	s := open(b, redistest.Start(b, redistest.Config{}).URL()+"?"+patient)
	if _, err := s.Put(b.Context(), kv.Write{Key: "k", Value: make([]byte, 2048), TTL: time.Hour}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.Get(b.Context(), "k"); err != nil {
				b.Fatal(err)
			}
		}
	})
}
