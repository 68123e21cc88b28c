package kv

import (
	"sync/atomic"
	"time"
)

// writes follows whether a guarded store takes writes.
type writes struct {
	changed func(refusal error) // nil: nobody hears
	last    atomic.Int64        // when one was refused, Unix nanoseconds; 0: they are taken
}

func (w *writes) refused(refusal error) {
	if w.last.Swap(time.Now().UnixNano()) == 0 && w.changed != nil {
		w.changed(refusal)
	}
}

func (w *writes) taken() {
	last := w.last.Load()
	if last == 0 || time.Since(time.Unix(0, last)) < DefaultGuardCalm {
		return
	}
	if w.last.CompareAndSwap(last, 0) && w.changed != nil {
		w.changed(nil)
	}
}
