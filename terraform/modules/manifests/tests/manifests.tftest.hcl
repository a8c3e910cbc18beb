variables {
  cluster          = "team"
  region           = "ap-northeast-2"
  prefix           = "/joinery/team"
  discovery_tag    = "team"
  instance_profile = "team-node"
}

run "the_default_prefix_is_left_out" {
  assert {
    condition     = yamldecode(output.agent_yaml) == { clusterName = "team", region = "ap-northeast-2" }
    error_message = "agent.yaml must say no more than it has to."
  }
}

run "what_differs_is_said" {
  variables {
    prefix      = "/elsewhere"
    kms_key_arn = "arn:aws:kms:ap-northeast-2:111122223333:key/1"
    settings    = { maxNodes = 20, token = { rotateSeconds = 1800 } }
  }

  assert {
    condition = yamldecode(output.agent_yaml) == {
      clusterName = "team"
      region      = "ap-northeast-2"
      ssmPrefix   = "/elsewhere"
      kmsKeyId    = "arn:aws:kms:ap-northeast-2:111122223333:key/1"
      maxNodes    = 20
      token       = { rotateSeconds = 1800 }
    }
    error_message = "agent.yaml must hold prefix, key and further settings."
  }
}

run "taints_are_taken_apart" {
  variables {
    pool = { taints = ["workload=ai:NoSchedule", "spare:NoExecute"] }
  }

  assert {
    condition = yamldecode(split("---\n", output.manifests_yaml)[1]).spec.template.spec.taints == [
      { key = "workload", value = "ai", effect = "NoSchedule" },
      { key = "spare", effect = "NoExecute" },
    ]
    error_message = "A taint is key, value when there is one, and effect."
  }
}

run "the_clusters_name_is_set_once" {
  command = plan
  variables {
    settings = { clusterName = "other" }
  }
  expect_failures = [var.settings]
}

run "a_taint_without_effect_is_refused" {
  command = plan
  variables {
    pool = { taints = ["workload=ai"] }
  }
  expect_failures = [var.pool]
}

run "an_unknown_capacity_type_is_refused" {
  command = plan
  variables {
    pool = { capacity_types = ["reserved"] }
  }
  expect_failures = [var.pool]
}

run "a_name_that_admission_could_not_match_is_refused" {
  command = plan
  variables {
    cluster = "-team"
  }
  expect_failures = [var.cluster]
}
