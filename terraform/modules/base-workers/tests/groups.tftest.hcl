mock_provider "aws" {
  source = "../../testing"
}

variables {
  cluster            = "team"
  instance_profile   = "team-base"
  security_group_ids = ["sg-0123456789abcdef0"]
  subnet_ids         = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
  facts_parameter    = "/joinery/team/join-facts"
  groups             = { redis = { instance_type = "t3.medium", machines = 3, taints = ["domain=redis:NoSchedule"] } }
}

run "a_group_is_spread_and_a_further_one_moves_nobody" {
  command = plan
  variables {
    groups = {
      redis = { instance_type = "t3.medium", machines = 3 }
      auth  = { instance_type = "t3.small", subnet = 1 }
    }
  }

  assert {
    condition     = aws_instance.this["redis-0"].subnet_id != aws_instance.this["redis-1"].subnet_id
    error_message = "Two machines of a group must be in two subnets."
  }

  assert {
    condition     = aws_instance.this["auth-0"].subnet_id == "subnet-0123456789abcdef1"
    error_message = "A group may name its subnet."
  }
}

run "labels_that_stop_a_kubelet_are_refused" {
  command = plan
  variables {
    groups = { worker = { instance_type = "t3.medium", labels = { "node-role.kubernetes.io/worker" = "" } } }
  }
  expect_failures = [var.groups]
}

run "labels_that_a_kubelet_may_set_are_taken" {
  command = plan
  variables {
    groups = { worker = { instance_type = "t3.medium", labels = { "node.kubernetes.io/pool" = "a", "example.com/x" = "" } } }
  }
}

run "a_taint_without_effect_is_refused" {
  command = plan
  variables {
    groups = { worker = { instance_type = "t3.medium", taints = ["domain=redis"] } }
  }
  expect_failures = [var.groups]
}

run "half_a_machine_is_refused" {
  command = plan
  variables {
    groups = { worker = { instance_type = "t3.medium", machines = 1.5 } }
  }
  expect_failures = [var.groups]
}

run "a_name_with_spaces_is_refused" {
  command = plan
  variables {
    groups = { "my worker" = { instance_type = "t3.medium" } }
  }
  expect_failures = [var.groups]
}

run "tags_that_admission_believes_are_refused" {
  command = plan
  variables {
    tags = { "joinery.sh/managed" = "true" }
  }
  expect_failures = [var.tags]
}
