/** The files that `init` makes: small, valid, and with a word on what to write next. */

export const FIRST_FILES: Record<string, string> = {
  'foothold.yaml': `# The defaults of every command, and the control worker's configuration.
apiVersion: foothold/v1
kind: Project
fleet: fleet.yaml
strategies: strategies/
depot:
  write: depot/                       # foothold publish writes here
  read: http://127.0.0.1:8081/        # and the sites read it here: foothold depot serve depot/
prometheus: http://127.0.0.1:9090
registry: sqlite:registry.db
controlKey: control.key               # signs commands; never leaves this machine
`,
  'fleet.yaml': `# Every site, and what it inherits: defaults, region, cluster, site; the later wins.
apiVersion: foothold/v1
kind: Fleet
defaults: { risk: high, link: cellular }
# groups:
#   region:
#     nordic: { vars: { workers: 2 } }
# sites:
#   - id: osl-01                      # never used again, not even after the site is retired
#     region: nordic
#     risk: low
#     link: fibre
#     streams: [edge-proxy]           # no other stream ever reaches it
#     vars: { listen: "10.4.1.20:8080" }
sites: []
`,
  'strategies/careful.yaml': `# One site, then the others in three steps; each step is judged by the gate before the next begins.
apiVersion: foothold/v1
kind: Strategy
name: careful
owner: on-call                        # named by every wait
defaults:
  gate: health
  soak: 10m
  concurrency: 10
  budget: { failed: 2%, owed: 20% }
stages:
  - { name: canary, take: 1, budget: { failed: 0, owed: 0 } }
  - { name: rest, waves: [10%, 50%, 100%] }
onFailure: revert-stage               # stay | revert-stage | revert-all
onInconclusive: { within: 4h, then: stay }
gates:
  health:
    metrics:
      - name: error-ratio
        window: 1m
        interval: 15s
        query: >-
          (sum(rate(http_requests_total{site=~"$sites",code=~"5.."}[$window])) or vector(0))
          / sum(rate(http_requests_total{site=~"$sites"}[$window]))
        pass: result < 0.01
`,
  'strategies/emergency.yaml': `# For a release that cannot wait: everybody in one stage, a tenth first, then wide. Still judged, still undone on failure.
apiVersion: foothold/v1
kind: Strategy
name: emergency
owner: on-call                        # named by every wait
defaults:
  gate: alive
  soak: 2m
  concurrency: 50
  budget: { failed: 1%, owed: 100% }  # absent sites are owed it and get it on return
stages:
  - { name: everybody, waves: [10%, 100%] }   # low risk first
onFailure: revert-all
onInconclusive: { within: 30m, then: stay }
gates:
  alive:
    metrics:
      - name: error-ratio
        window: 1m
        interval: 15s
        coverage: 50%
        failureLimit: 1
        query: >-
          (sum(rate(http_requests_total{site=~"$sites",code=~"5.."}[$window])) or vector(0))
          / sum(rate(http_requests_total{site=~"$sites"}[$window]))
        pass: result < 0.05
`,
  'strategies/rollback.yaml': `# Back to a release that was verified here before: foothold rollback STREAM takes this strategy by its name.
apiVersion: foothold/v1
kind: Strategy
name: rollback
owner: on-call                        # named by every wait
defaults:
  gate: none
  because: the release was verified here before, and what is measured now is the release that is left
  soak: 0s
  concurrency: 20
  budget: { failed: 5%, owed: 100% }  # absent sites are owed it and get it on return
stages:
  - { name: everybody }               # low risk first; in one wave: a first wave that is dark would hold up the others
onFailure: stay                       # going forward again is for a person to decide
onInconclusive: { within: 1h, then: stay }
`,
};
