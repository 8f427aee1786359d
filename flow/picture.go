package flow

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/skald-go/skald/internal/plan"
)

// Steps lists the paths of everything in the flow that does something or waits, in the order of
// definition: steps, children, Delays and Waits. The items of an Each and the rounds of a Loop
// stand there without numbers: pick[]/pick is pick[0]/pick, pick[1]/pick … in a saga, and
// poll#/ask is poll#1/ask, poll#2/ask …. What is inside a child is not listed.
//
// Paths are durable: a saga in flight does not find a step that was renamed. Keep the list in a
// test, so that it fails when one is.
func (f Flow[I, O]) Steps() []string {
	f.at("Steps", "")
	var steps []string
	for path, n := range f.def.Nodes() {
		switch n.Kind {
		case plan.Step, plan.Child, plan.Delay, plan.Wait:
			steps = append(steps, path)
		}
	}
	return steps
}

// Fingerprint is a short hash of the flow's shape, that is, of what a saga's record refers to: paths,
// kinds and order of all parts that have a name, the arms of choices, the names of signals and of the
// flows that children run. Flows of equal fingerprints can read each other's sagas. It does not
// depend on the flow's name, on types, functions, policies or settings.
func (f Flow[I, O]) Fingerprint() string {
	f.at("Fingerprint", "")
	return fingerprint(f.def)
}

// runBy names the flow that a child runs, and its service, if it is another.
func runBy(n *plan.Node) string {
	if n.Remote != nil {
		return n.Remote.Service + "/" + n.Remote.Flow
	}
	return n.Child.Name
}

func fingerprint(def *plan.Def) string {
	hash := sha256.New()
	for path, n := range def.Nodes() {
		fmt.Fprintf(hash, "%v %q", n.Kind, path)
		switch n.Kind {
		case plan.Choice:
			fmt.Fprintf(hash, " %q %v", n.Labels, n.Optional)
		case plan.Wait:
			fmt.Fprintf(hash, " %q", n.Signal)
		case plan.Child:
			fmt.Fprintf(hash, " %q", runBy(n))
		}
		fmt.Fprintln(hash)
	}
	return hex.EncodeToString(hash.Sum(nil)[:8])
}
