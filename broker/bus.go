package broker

import (
	"context"
	"errors"
	"iter"
	"time"
)

// The errors of a Bus, beside those of a Broker.
var (
	// ErrNoEvent says that there is no such dead event, or no longer.
	ErrNoEvent = errors.New("no such dead event")
	// ErrRead says that a living subscriber reads the group.
	ErrRead = errors.New("a living subscriber reads the group")
)

// Bus is a Broker that also carries events: what publishers tell everybody, and groups of subscribers hear. flow.Topic asks for it. A bus may
// be shared by brokers whose sagas are apart; it depends on none of them.
//
// # The life of an event
//
//	Publish ──► unread ──► handed out ──► done
//	              ▲             │
//	              ├── again ────┤
//	              └── relived ◄ dead, until somebody decides
//
// It lives so once for each group of its topic. The subscribers of a group share its events: one of them has an event at a time. A group exists
// from its first Subscribe until Forget, with or without subscribers.
//
// # Order
//
// Events of a topic with the same Key, if it is not empty, are handed out to a group in the order in which they were published, one at a
// time: the next when the one before is done or dead. Others have no order. An event that was dead and lives again comes after those of its key that are
// not done by then.
//
// # What is kept
//
// An event is dropped when all groups of its topic are done with it; without a group it waits for one to come. The options of a bus bound how long and how
// many events are kept nevertheless. What a group loses by that is counted, and told to a subscriber: see Arrival.Lost. A dead event is kept
// until somebody decides, whatever the bound.
//
// Every method may be repeated after any error, as those of Broker.
type Bus interface {
	// Publish stores events, each once per Topic and ID for as long as the options of the bus say: a repeat within that time is
	// acknowledged, and changes nothing. Events of one call keep their order. After an error some may be stored, perhaps not the first of them.
	Publish(ctx context.Context, events ...Publication) error

	// Subscribe joins the groups of s.Reads, and makes those that do not exist. It returns when the lease is durable.
	Subscribe(ctx context.Context, s Subscription) (Subscriber, error)

	// Groups tells how far the groups of a topic are, in order of their names.
	Groups(ctx context.Context, topic string) ([]Group, error)

	// Dead walks over the dead events of a group, the oldest first. What changes during the walk may or may not be seen.
	Dead(ctx context.Context, topic, group string) iter.Seq2[DeadEvent, error]

	// Relive hands a dead event out again, with no attempts counted. ErrNoEvent says that there is none: perhaps because an
	// earlier call was applied.
	Relive(ctx context.Context, topic, group, ref string) error

	// Drop forgets a dead event. ErrNoEvent is as for Relive.
	Drop(ctx context.Context, topic, group, ref string) error

	// Forget removes a group, with what it has not read and its dead events: nothing is kept for it any longer. ErrRead says that a
	// living subscriber reads it. A group that does not exist is forgotten already.
	Forget(ctx context.Context, topic, group string) error
}

// Publication is an event as its publisher gives it.
type Publication struct {
	Topic string
	ID    string // tells a repeat; not empty
	Key   string // orders events; "": none
	Data  []byte
}

// Subscription says who subscribes, and to what.
type Subscription struct {
	Name  string        // for people; need not be unique
	Lease time.Duration // without a sign of life for so long, the subscriber is dead; must be positive
	Reads []Read        // at least one; each Topic and Group once
}

// Read is a group that a subscriber reads for.
type Read struct {
	Topic, Group string
	Room         int  // how many events of this group the subscriber has at most that are not settled; must be positive
	New          bool // if the group does not exist: it begins with what is published from now on, instead of with the oldest event that is kept
}

// Subscriber is a membership in groups. Its methods may be called concurrently. It gives its signs of life by itself.
type Subscriber interface {
	// Receive blocks until there are events for this subscriber, ctx ends, or the subscriber is fenced (ErrFenced). What it returns is
	// handed out to nobody else until it is settled, or the subscriber has left or is dead. An event that was handed out in a reply that
	// was lost is handed out again. One call at a time.
	Receive(ctx context.Context) ([]Arrival, error)

	// Settle says what becomes of events that Receive gave. It returns when that is durable. A settlement of an event that this
	// subscriber does not have any more, or had another time, is passed over, so it may be repeated.
	Settle(ctx context.Context, settlements ...Settlement) error

	// Leave ends the membership, and gives what was not settled to others at once, as Return does. A second Leave does nothing.
	Leave(ctx context.Context) error
}

// Arrival is an event that is handed out, or the news of a loss.
type Arrival struct {
	Publication
	Group   string
	Ref     string // names this handing out
	Attempt int    // how often the event was handed out to the group, this time included, without those that a settlement took back

	// Lost, if it is not 0, says that this is no event: so many events of the topic were dropped, by the bounds of the bus, before the
	// group was done with them. A loss is told at least once to one subscriber of the group; only Topic and Group are set besides.
	Lost uint64
}

// Settlement says what becomes of an event that was handed out.
type Settlement struct {
	Topic, Group, Ref string // of the Arrival
	Fate              Fate
	After             time.Duration // Again: it is not handed out before that time has passed
	Reason            []byte        // Dead: why, for DeadEvent
}

// Fate is what becomes of an event that was handed out.
type Fate uint8

// The fates.
const (
	// Done: the group is done with it.
	Done Fate = iota
	// Again: it is handed out again after Settlement.After.
	Again
	// Later is Again for an attempt that does not count.
	Later
	// Return is Later without a pause.
	Return
	// Dead: the group is done with it, and it is kept until somebody decides.
	Dead
)

// DeadEvent is an event that a group could not handle.
type DeadEvent struct {
	Publication
	Group    string
	Ref      string // for Relive and Drop
	Attempts int
	Reason   []byte    // Settlement.Reason
	At       time.Time // when it died
}

// Group tells how far a group is with its topic.
type Group struct {
	Name    string
	Unread  uint64    // events that were never handed out
	Open    int       // events that were handed out, wait for another attempt, or for one of their key
	Dead    int       // dead events
	Lost    uint64    // events that were dropped before the group was done with them, in all
	LostAt  time.Time // when the last of those was missed; zero: never
	Readers []string  // names of living subscribers
}
