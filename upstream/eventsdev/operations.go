package eventsdev

import "github.com/coder/websocket"

// maxSubscriptions is AppSync's quota for one connection.
const maxSubscriptions = 200

// handle acts on one frame. Only the reader calls it.
func (c *connection) handle(data []byte) {
	f, why := parseFrame(data)
	switch {
	case c.refused != nil:
		c.turnAway()
	case why != nil:
		c.fail("error", f.id, why)
	case f.kind == "connection_init":
		c.welcome()
	case !c.ready.Load():
		c.fail("error", f.id, badRequest(ReasonNoInit, "connection_init has to come first."))
	default:
		c.operate(f)
	}
}

// turnAway tells what is wrong with the handshake and closes.
func (c *connection) turnAway() {
	c.fail("connection_error", "", c.refused)
	c.finish(int(websocket.StatusPolicyViolation), "the handshake was refused")
}

// welcome sends a ka at once: Amplify counts from the load of the page, and would otherwise give a fresh socket up.
func (c *connection) welcome() {
	if !c.ready.CompareAndSwap(false, true) {
		c.fail("error", "", badRequest(ReasonNoInit, "connection_init was sent before."))
		return
	}
	c.send(reply{Type: "connection_ack", TimeoutMs: c.s.cfg.ConnectionTimeout.Milliseconds()})
	c.send(reply{Type: "ka"})
}

func (c *connection) operate(f frame) {
	var why *refusal
	switch f.kind {
	case "subscribe":
		why = c.subscribe(f)
	case "unsubscribe":
		why = c.unsubscribe(f)
	case "publish":
		why = c.publish(f)
	default:
		c.fail("error", f.id, &refusal{reason: ReasonFrame, kind: "UnsupportedOperation", text: "The frame's type is unknown."})
		return
	}
	if why != nil {
		c.fail(f.kind+"_error", f.id, why)
	}
}

// fail counts, and tells under the id if that one may be repeated.
func (c *connection) fail(kind, id string, why *refusal) {
	c.s.note(why)
	if !isOperationID(id) {
		id = ""
	}
	c.send(reply{Type: kind, ID: id, Errors: why.told()})
}

// subscribe checks the token anew, as AppSync does; afterwards nobody asks again, and the subscription outlives it.
func (c *connection) subscribe(f frame) *refusal {
	if !isOperationID(f.id) {
		return errOperationID()
	}
	if _, stands := c.subscriptions[f.id]; stands {
		return &refusal{reason: ReasonDuplicate, kind: "DuplicatedOperationError", text: "A subscription has this id."}
	}
	if len(c.subscriptions) >= maxSubscriptions {
		return errLimit(ReasonSubscriptions, "MaxSubscriptionsReachedError", "The connection has 200 subscriptions.")
	}
	if why := c.s.tokens.check(c.ctx, f.token); why != nil {
		return why
	}
	at, why := c.s.place(f.channel)
	if why != nil {
		return why
	}
	s := &subscription{id: f.id, at: at, to: c}
	c.subscriptions[f.id] = s
	c.s.hub.join(s)
	return nil
}

func (c *connection) unsubscribe(f frame) *refusal {
	s, stands := c.subscriptions[f.id]
	if !stands {
		return &refusal{reason: ReasonUnknown, kind: "UnknownOperationError", text: "No subscription has this id."}
	}
	delete(c.subscriptions, f.id)
	c.s.hub.leave(map[string]*subscription{f.id: s})
	c.send(reply{Type: "unsubscribe_success", ID: f.id})
	return nil
}

func (c *connection) publish(f frame) *refusal {
	if !isOperationID(f.id) {
		return errOperationID()
	}
	if !c.publishes.take() {
		return errLimit(ReasonRate, "LimitExceededError", "The connection publishes more than 25 times a second.")
	}
	if why := c.s.tokens.check(c.ctx, f.token); why != nil {
		return why
	}
	done, why := c.s.publish(f.channel, f.events)
	if why != nil {
		return why
	}
	c.send(reply{Type: "publish_success", ID: f.id, outcome: &done})
	return nil
}

func errOperationID() *refusal {
	return badRequest(ReasonOperationID, "The id is not 1 to 128 letters, digits, hyphens, underscores and plus signs.")
}
