package inmem

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode"

	"github.com/skald-go/skald/broker"
)

var errAlone = errors.New("is for another service, and this broker belongs to no network: see NewNetwork")

// Network brings messages between the brokers of several services in one process. Make one with NewNetwork.
//
// A message arrives before the commit that sends it returns. One for a service that has no broker yet, or whose broker was closed, waits
// until there is one. The brokers share a Bus, unless OnBus gives one another: services hear each other's events. Networks may be used by many goroutines.
type Network struct {
	mu      sync.Mutex
	brokers map[string]*Broker
	waiting map[string][]broker.Message // by service
	bus     *Bus
}

// NewNetwork makes a network without services.
func NewNetwork() *Network {
	return &Network{brokers: make(map[string]*Broker), waiting: make(map[string][]broker.Message), bus: NewBus()}
}

// Broker gives the broker of a service, made with opts when it is first asked for, and anew, without what it stored, when the
// last one was closed. It panics if the service has no name, or one that it could not have on Redis.
func (n *Network) Broker(service string, opts ...Option) *Broker {
	checkService(service)
	n.mu.Lock()
	b := n.brokers[service]
	if b != nil && !b.closed.Load() {
		n.mu.Unlock()
		return b
	}
	b = New(append([]Option{OnBus(n.bus)}, opts...)...)
	b.network, b.service = n, service
	waiting := n.waiting[service]
	delete(n.waiting, service)
	n.brokers[service] = b
	n.mu.Unlock()
	for _, m := range waiting {
		b.arrive(m)
	}
	return b
}

// checkService panics unless a service can have the name here and elsewhere: it is part of the IDs of the sagas that the service calls.
func checkService(name string) {
	printable := func(r rune) bool { return unicode.IsPrint(r) && !strings.ContainsRune("/[]#~{}*?\\", r) }
	switch {
	case name == "":
		panic("inmem: Network.Broker: a service needs a name")
	case len(name) > 255 || strings.ContainsFunc(name, func(r rune) bool { return !printable(r) }):
		panic(fmt.Sprintf("inmem: Network.Broker: %.80q cannot be the name of a service: it has 1 to 255 bytes of printable text without /[]#~{}*?\\", name))
	}
}

// carry brings messages to their services.
func (n *Network) carry(messages []broker.Message) {
	for _, m := range messages {
		n.mu.Lock()
		b := n.brokers[m.Service]
		if b == nil || b.closed.Load() {
			n.waiting[m.Service] = append(n.waiting[m.Service], m)
			b = nil
		}
		n.mu.Unlock()
		if b != nil {
			b.arrive(m)
		}
	}
}

// Service implements broker.Linked: the name under which the broker's network knows it.
func (b *Broker) Service() string { return b.service }

// arrive applies a message of another service.
func (b *Broker) arrive(m broker.Message) {
	sh := b.shard(m.To)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	b.send(m)
}

// outgoing copies the messages for other services.
func outgoing(send []broker.Message) (away []broker.Message) {
	for _, m := range send {
		if m.Service == "" {
			continue
		}
		if m.Start != nil {
			start := *m.Start
			start.Record = slices.Clone(start.Record)
			m.Start = &start
		} else {
			ev := *m.Event
			ev.Data = slices.Clone(ev.Data)
			m.Event = &ev
		}
		away = append(away, m)
	}
	return away
}

// checkService says why a message cannot be sent from b.
func (b *Broker) checkService(m broker.Message) error {
	if m.Service != "" && b.network == nil {
		return fmt.Errorf("message %q %w", m.ID, errAlone)
	}
	return nil
}
